"""How each exercise of the catalogue moves the body: tables, no code.

A drive (segment, axis, gain) turns a segment in its parent by gain times the exercise's angle; axes as in
`skeleton`: on the right side flexion of shoulder, elbow and hip is -y, of the knee +y, abduction -x, external
rotation -z. An exercise without a row of its own moves the angle that the catalogue names for it
(`BY_ANGLE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtm_signal.catalogue import Exercise

Key = tuple[str, str]
Drive = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class Movement:
    """posture: a name of POSTURES. anchor: the segment whose proximal joint rests. drives: see above.

    sign: of the catalogue's angle for a positive excursion. from_bent: a repetition begins at full excursion
    (sitting before one stands up). swings: about zero, to both sides. gait: walking, drives unused.
    """

    posture: str
    anchor: str
    drives: tuple[Drive, ...]
    sign: float = 1.0
    from_bent: bool = False
    swings: bool = False
    gait: bool = False


# Degrees by (segment, axis).
POSTURES: Mapping[str, Mapping[Key, float]] = {
    "standing": {},
    "elbow_bent": {("forearm", "y"): -90.0},
    "sitting": {("thigh", "y"): -88.0, ("shank", "y"): 88.0},
    "sitting_high": {("thigh", "y"): -88.0},
    "sitting_elbow_bent": {("thigh", "y"): -88.0, ("shank", "y"): 88.0, ("forearm", "y"): -90.0},
    "saddle": {("pelvis", "y"): 15.0, ("thigh", "y"): -45.0, ("shank", "y"): 25.0},
    "supine": {("pelvis", "y"): -90.0},
    "supine_bent": {("pelvis", "y"): -90.0, ("thigh", "y"): -45.0, ("shank", "y"): 95.0},
    "prone": {("pelvis", "y"): 90.0},
    "prone_arm_hanging": {("pelvis", "y"): 90.0, ("upper_arm", "y"): -90.0},
    "side_lying": {("pelvis", "x"): -90.0},
    "side_lying_bent": {("pelvis", "x"): -90.0, ("thigh", "y"): -45.0, ("shank", "y"): 90.0},
    "bent_forward": {("pelvis", "y"): 70.0, ("thigh", "y"): -70.0, ("upper_arm", "y"): -70.0},
    "all_fours": {
        ("pelvis", "y"): 88.0,
        ("thigh", "y"): -88.0,
        ("shank", "y"): 90.0,
        ("upper_arm", "y"): -88.0,
    },
    "hands_at_shoulders": {("upper_arm", "y"): -40.0, ("forearm", "y"): -130.0},
    "arm_up": {("upper_arm", "y"): -175.0},
    "arm_forward": {("upper_arm", "y"): -85.0},
}

BY_ANGLE: Mapping[str, tuple[Drive, ...]] = {
    "shoulder_abduction": (("upper_arm", "x", -1.0),),
    "shoulder_flexion": (("upper_arm", "y", -1.0),),
    "shoulder_extension": (("upper_arm", "y", 1.0),),
    "shoulder_elevation": (("upper_arm", "y", -1.0),),
    "shoulder_internal_rotation": (("upper_arm", "z", 1.0),),
    "shoulder_external_rotation": (("upper_arm", "z", -1.0),),
    "shoulder_horizontal_abduction": (("upper_arm", "x", -1.0),),
    "elbow_flexion": (("forearm", "y", -1.0),),
    "forearm_pronation": (("forearm", "z", 0.5), ("wrist", "z", 0.5)),
    "wrist_flexion": (("hand", "y", -1.0),),
    "wrist_ulnar_deviation": (("hand", "x", 1.0),),
    "hip_flexion": (("thigh", "y", -1.0),),
    "hip_abduction": (("thigh", "x", -1.0),),
    "hip_external_rotation": (("thigh", "z", -1.0),),
    "knee_flexion": (("shank", "y", 1.0),),
    "ankle_dorsiflexion": (("foot", "y", -1.0),),
    "ankle_inversion": (("foot", "x", 1.0),),
    "trunk_flexion": (("trunk", "y", 1.0),),
    "trunk_lateral_flexion": (("trunk", "x", 1.0),),
    "trunk_rotation": (("trunk", "z", 1.0),),
    "neck_rotation": (("head", "z", 1.0),),
    "neck_flexion": (("head", "y", 1.0),),
}

_HIP_EXTENSION: tuple[Drive, ...] = (("thigh", "y", 1.0),)
_CLOSED_KNEE: tuple[Drive, ...] = (
    ("pelvis", "y", 0.35),
    ("thigh", "y", -0.85),
    ("shank", "y", 1.0),
    ("foot", "y", -0.5),
)
_LUNGE: tuple[Drive, ...] = (
    ("pelvis", "y", 0.1),
    ("thigh", "y", -0.8),
    ("shank", "y", 1.0),
    ("foot", "y", -0.3),
)
_SIDEWAYS: tuple[Drive, ...] = (*_CLOSED_KNEE, ("thigh", "x", -0.25), ("foot", "x", 0.25))
_WALL: tuple[Drive, ...] = (("thigh", "y", -1.0), ("shank", "y", 1.0))
_PULL: tuple[Drive, ...] = (("upper_arm", "y", 1.0), ("forearm", "y", -1.0))

ROWS: Mapping[str, Movement] = {
    "shoulder_internal_rotation": Movement("elbow_bent", "pelvis", BY_ANGLE["shoulder_internal_rotation"]),
    "shoulder_external_rotation": Movement("elbow_bent", "pelvis", BY_ANGLE["shoulder_external_rotation"]),
    "pendulum": Movement("bent_forward", "pelvis", BY_ANGLE["shoulder_elevation"], swings=True),
    "trapezius_extension": Movement("prone_arm_hanging", "pelvis", BY_ANGLE["shoulder_elevation"]),
    "upright_row": Movement("standing", "pelvis", (("upper_arm", "x", -1.0), ("forearm", "y", -1.3))),
    "shoulder_press": Movement(
        "hands_at_shoulders", "pelvis", (("upper_arm", "y", -1.0), ("forearm", "y", 1.2))
    ),
    "bent_over_row": Movement("bent_forward", "pelvis", _PULL),
    "standing_row": Movement("elbow_bent", "pelvis", (("upper_arm", "y", 1.0), ("forearm", "y", -0.3))),
    "horizontal_abduction": Movement(
        "prone_arm_hanging", "pelvis", BY_ANGLE["shoulder_horizontal_abduction"]
    ),
    "wand_flexion": Movement("supine", "pelvis", BY_ANGLE["shoulder_flexion"]),
    "triceps_extension": Movement("arm_up", "pelvis", BY_ANGLE["elbow_flexion"], from_bent=True),
    "elbow_flexion_extension": Movement("sitting", "pelvis", BY_ANGLE["elbow_flexion"]),
    "forearm_rotation": Movement("sitting_elbow_bent", "pelvis", BY_ANGLE["forearm_pronation"]),
    "wrist_flexion_extension": Movement(
        "sitting_elbow_bent", "pelvis", BY_ANGLE["wrist_flexion"], swings=True
    ),
    "wrist_extension_curl": Movement("sitting_elbow_bent", "pelvis", (("hand", "y", 1.0),), sign=-1.0),
    "wrist_deviation": Movement(
        "sitting_elbow_bent", "pelvis", BY_ANGLE["wrist_ulnar_deviation"], swings=True
    ),
    "wrist_flexor_stretch": Movement("arm_forward", "pelvis", (("hand", "y", 1.0),), sign=-1.0),
    "straight_leg_raise": Movement("supine", "pelvis", BY_ANGLE["hip_flexion"]),
    "prone_leg_raise": Movement("prone", "pelvis", _HIP_EXTENSION, sign=-1.0),
    "hip_abduction_lying": Movement("side_lying", "pelvis", BY_ANGLE["hip_abduction"]),
    "hip_extension_standing": Movement("standing", "pelvis", _HIP_EXTENSION, sign=-1.0),
    "hip_flexion_standing": Movement("standing", "pelvis", (("thigh", "y", -1.0), ("shank", "y", 1.0))),
    "clamshell": Movement("side_lying_bent", "pelvis", BY_ANGLE["hip_external_rotation"]),
    "knee_to_chest": Movement("supine", "pelvis", (("thigh", "y", -1.0), ("shank", "y", 1.1))),
    "hamstring_stretch": Movement("supine", "pelvis", BY_ANGLE["hip_flexion"]),
    "bridge": Movement(
        "supine_bent",
        "head",
        (("pelvis", "y", -0.5), ("thigh", "y", 1.0), ("shank", "y", -0.5)),
        sign=-1.0,
    ),
    "squat": Movement("standing", "foot", _CLOSED_KNEE),
    "sit_to_stand": Movement("standing", "foot", _CLOSED_KNEE, from_bent=True),
    "forward_lunge": Movement("standing", "foot", _LUNGE),
    "step_up": Movement("standing", "foot", _LUNGE, from_bent=True),
    "side_lunge": Movement("standing", "foot", _SIDEWAYS),
    "wall_sit": Movement("standing", "foot", _WALL),
    "heel_slide": Movement("supine", "pelvis", (("thigh", "y", -0.5), ("shank", "y", 1.0))),
    "quad_set": Movement("supine", "pelvis", (("shank", "y", -1.0),), sign=-1.0),
    "knee_extension_seated": Movement("sitting_high", "pelvis", BY_ANGLE["knee_flexion"], from_bent=True),
    "isokinetic_knee_extension": Movement("sitting_high", "pelvis", BY_ANGLE["knee_flexion"], from_bent=True),
    "knee_flexion_prone": Movement("prone", "pelvis", BY_ANGLE["knee_flexion"]),
    "cycle_ergometer": Movement("saddle", "pelvis", (("thigh", "y", -0.6), ("shank", "y", 1.0))),
    "ankle_pumps": Movement("supine", "pelvis", BY_ANGLE["ankle_dorsiflexion"], swings=True),
    "ankle_dorsiflexion_band": Movement("sitting_high", "pelvis", BY_ANGLE["ankle_dorsiflexion"]),
    "ankle_inversion_eversion": Movement("sitting", "pelvis", BY_ANGLE["ankle_inversion"], swings=True),
    "heel_raise": Movement("standing", "pelvis", (("foot", "y", 1.0),), sign=-1.0),
    "treadmill": Movement("standing", "pelvis", (), gait=True),
    "gait_training": Movement("standing", "pelvis", (), gait=True),
    "trunk_rotation_seated": Movement("sitting", "pelvis", BY_ANGLE["trunk_rotation"], swings=True),
    "abdominal_crunch": Movement("supine_bent", "pelvis", BY_ANGLE["trunk_flexion"]),
    "back_extension_prone": Movement("prone", "pelvis", (("trunk", "y", -1.0),), sign=-1.0),
    "bird_dog": Movement(
        "all_fours",
        "pelvis",
        (("trunk", "y", -1.0), ("thigh", "y", 5.0), ("upper_arm", "y", -5.0)),
        sign=-1.0,
    ),
    "plank": Movement("prone", "pelvis", (("trunk", "y", -1.0),), sign=-1.0),
    "neck_rotation": Movement("sitting", "pelvis", BY_ANGLE["neck_rotation"], swings=True),
    "neck_flexion_extension": Movement("sitting", "pelvis", BY_ANGLE["neck_flexion"], swings=True),
}

GAIT_DEG: Mapping[Key, tuple[float, float, float, float]] = {
    # mean, amplitude of the first harmonic, its phase (share of a stride), amplitude of the second; after
    # the joint
    # curves of Winter (2009), chapter 3: hip 30/-10 deg, knee 5/60 deg with a small wave in stance.
    ("thigh", "y"): (-8.0, -20.0, 0.00, 0.0),
    ("shank", "y"): (27.0, 24.0, 0.30, 12.0),
    ("foot", "y"): (0.0, -8.0, 0.15, 5.0),
    ("upper_arm", "y"): (0.0, 18.0, 0.00, 0.0),
    ("forearm", "y"): (-12.0, 5.0, 0.05, 0.0),
    ("trunk", "z"): (0.0, 4.0, 0.00, 0.0),
    ("pelvis", "x"): (0.0, 3.0, 0.25, 0.0),
}
GAIT_BOB_M = 0.02
"""Rise and fall of the pelvis, twice a stride."""


def movement(entry: Exercise) -> Movement:
    """How an entry of the catalogue moves; one without a row moves the angle the catalogue names, standing."""
    row = ROWS.get(entry.id)
    if row is not None:
        return row
    distal = entry.placements[min(1, len(entry.placements) - 1)]
    return Movement("standing", "pelvis", BY_ANGLE.get(entry.angle, ((distal, "y", 1.0),)), gait=entry.gait)
