"""Our own short words for the codes of payers' answers that matter here; any other code speaks for itself.

The code lists belong to their publishers; these sentences are ours and say what the practice can do.
"""

from collections.abc import Mapping
from decimal import Decimal

# why an amount was not paid (CAS): group, then reason
GROUPS: Mapping[str, str] = {
    "CO": "the practice bears it",
    "PR": "the patient owes it",
    "OA": "another adjustment",
    "PI": "the payer reduced it",
    "CR": "a correction",
}
REASONS: Mapping[str, str] = {
    "1": "the deductible",
    "2": "the coinsurance",
    "3": "the copayment",
    "4": "a modifier is missing or does not fit the code",
    "11": "the diagnosis does not fit the code",
    "16": "something is missing or wrong on the claim; the remark codes say what",
    "18": "a duplicate of a claim they have",
    "22": "another payer comes first",
    "23": "what another payer did",
    "24": "covered by a capitation agreement",
    "26": "before the coverage began",
    "27": "after the coverage ended",
    "29": "filed too late",
    "31": "the patient is not known as insured",
    "45": "above the agreed fee",
    "50": "not seen as medically necessary",
    "54": "more than one provider is not covered",
    "96": "not covered",
    "97": "held to be part of another service",
    "109": "sent to the wrong payer",
    "119": "the benefit maximum is reached",
    "151": "more often than the payer allows",
    "170": "not payable to this kind of provider",
    "181": "the code was not valid on that date",
    "182": "the modifier was not valid on that date",
    "185": "the treating provider may not perform it",
    "197": "the prior authorization is missing",
    "204": "not in the patient's plan",
    "208": "the NPI does not match",
    "236": "the combination of codes is not allowed",
    "242": "not by a provider of the network",
    "252": "the payer wants documents",
    "253": "sequestration",
    "B7": "the provider was not certified for it on that date",
    "B15": "another service has to be there first",
    "B20": "another provider did some or all of it",
}

# what a remark code adds (LQ, MOA), for those about things a practice can mend
REMARKS: Mapping[str, str] = {
    "M15": "counted with another service of the claim",
    "M51": "the service code is missing or wrong",
    "M52": "the first date of service is missing or wrong",
    "M53": "the units are missing or wrong",
    "M64": "another diagnosis is missing or wrong",
    "M76": "the diagnosis is missing or wrong",
    "M77": "the place of service is missing or wrong",
    "M86": "paid already for the same or a like service in the time",
    "MA01": "an appeal is possible",
    "MA04": "the other payer's figures are missing",
    "MA13": "the patient may not be billed for it",
    "MA130": "not processable: send a new claim, no appeal",
    "N20": "not payable with another service of the same date",
    "N56": "the service code was not right for what was billed or for the date",
    "N95": "this kind of provider may not bill it",
    "N115": "decided by a local coverage determination",
    "N130": "see the plan's rules on what is covered",
    "N265": "the ordering provider's number is missing or wrong",
    "N286": "the referring provider's number is missing or wrong",
    "N290": "the rendering provider's number is missing or wrong",
    "N362": "more units than the payer's most",
    "N519": "the modifiers do not go together",
    "N822": "a modifier is missing",
    "N823": "a modifier is wrong",
}

# money a payer moves besides the claims (PLB)
PROVIDER: Mapping[str, str] = {
    "50": "a charge for late filing",
    "72": "a refund was booked",
    "90": "an early payment",
    "AP": "an earlier payment sped up",
    "B2": "a rebate",
    "CS": "an adjustment",
    "FB": "balance carried forward",
    "IR": "withheld for taxes",
    "J1": "not reimbursed",
    "L6": "interest",
    "LE": "a levy",
    "WO": "an overpayment taken back",
    "WU": "an unspecified recovery",
}

# what became of a claim on its way (STC): category, then status
CATEGORIES: Mapping[str, str] = {
    "A0": "forwarded",
    "A1": "received",
    "A2": "accepted into adjudication",
    "A3": "returned, not processable",
    "A4": "not found",
    "A5": "split",
    "A6": "rejected: something is missing",
    "A7": "rejected: something is wrong",
    "A8": "rejected: fields do not fit each other",
}
STATUSES: Mapping[str, str] = {
    "19": "the whole claim was taken",
    "20": "accepted for processing",
    "21": "something is missing or wrong",
    "24": "not enrolled to send claims electronically",
    "26": "the provider is not known",
    "33": "the member is not known",
    "97": "the patient is not eligible with this payer",
    "116": "sent to the wrong payer",
    "122": "a value is missing",
    "125": "the name",
    "126": "the address",
    "128": "the tax id",
    "145": "the taxonomy",
    "153": "the member id",
    "158": "the birth date",
    "164": "the insured person's id",
    "187": "the date of service",
    "254": "the main diagnosis",
    "255": "a diagnosis",
    "453": "a modifier",
    "454": "the service code",
    "476": "the units",
    "500": "the postal code",
    "507": "a code of the code set",
    "562": "the NPI",
}

# whether a transaction set was taken (999, IK5 and AK9)
TAKEN: Mapping[str, str] = {
    "A": "accepted",
    "E": "accepted, with errors noted",
    "P": "accepted in part",
    "M": "rejected: the signature fails",
    "R": "rejected",
    "W": "rejected: the security check fails",
    "X": "rejected: it cannot be decrypted",
}


def adjustment(group: str, reason: str, amount: str) -> str:
    """One adjustment in words, with its code."""
    words = REASONS.get(reason)
    who = GROUPS.get(group, group)
    return (
        f"{amount} not paid, {who}: {words} ({group}-{reason})"
        if words
        else f"{amount} not paid, {who}: {group}-{reason}"
    )


def status(category: str, code: str) -> str:
    """One claim status in words, with its code."""
    said = CATEGORIES.get(category, category)
    about = STATUSES.get(code)
    return f"{said}: {about} ({category}:{code})" if about else f"{said} ({category}:{code})"


def remark(code: str) -> str:
    """One remark in words, with its code."""
    words = REMARKS.get(code)
    return f"{words} ({code})" if words else f"remark {code}"


def provider_adjustment(reason: str, amount: Decimal) -> str:
    """Money besides the claims, in words: X12 subtracts it from the payment, so above zero is less for the practice."""
    words = PROVIDER.get(reason)
    side = "withheld from" if amount > 0 else "added to"
    return f"{abs(amount):.2f} {side} the payment besides the claims: " + (
        f"{words} ({reason})" if words else reason
    )
