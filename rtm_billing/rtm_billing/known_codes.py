"""Code numbers the engine knows besides RTM's own, by what they do to a line. Numbers, no descriptors."""

RPM = frozenset({"99445", "99453", "99454", "99457", "99458", "99470"})

# chronic, principal, transitional, behavioural and advanced primary care management: no effect on RTM
CARE_MANAGEMENT = frozenset(
    {"99424", "99425", "99426", "99427", "99437", "99439", "99484", "99487", "99489", "99490", "99491"}
    | {"99492", "99493", "99494", "99495", "99496"}
    | {"G0323", "G0511", "G0512", "G0556", "G0557", "G0558", "G2214", "G3002", "G3003"}
)

# in-clinic therapy, by the 15 minutes of direct contact
TIMED = frozenset(
    {
        "97032",
        "97033",
        "97034",
        "97035",
        "97036",
        "97110",
        "97112",
        "97113",
        "97116",
        "97124",
        "97129",
        "97130",
    }
    | {"97140", "97530", "97533", "97535", "97537", "97542", "97750", "97755", "97760", "97761", "97763"}
)

# in-clinic therapy without a clock: one unit a day, outside the total of timed minutes
UNTIMED = frozenset(
    {"97012", "97014", "97016", "97018", "97022", "97024", "97026", "97028", "97150"}
    | {"97161", "97162", "97163", "97164", "97165", "97166", "97167", "97168"}
    | {"92507", "92508", "92521", "92522", "92523", "92524", "92526", "92610", "G0283"}
)

IN_CLINIC = TIMED | UNTIMED
