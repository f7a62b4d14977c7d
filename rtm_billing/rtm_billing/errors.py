"""The one error a caller sees: a plain sentence that names the field."""


class CaseError(ValueError):
    """A case, setting, table or claim that cannot be used; one sentence, "field: what is wrong"."""
