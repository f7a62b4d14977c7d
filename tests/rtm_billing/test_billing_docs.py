"""The generated pages say what the data say, and the docs name every setting and payer."""

from pathlib import Path

from rtm_billing import settings_table
from rtm_billing.kit import WORKED
from rtm_billing.page import cases_page, rules_page
from rtm_billing.payers import PROFILES
from rtm_billing.rules import RTM_CODES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_rules_page_is_generated() -> None:
    """`python -m rtm_billing.page > docs/reference/billing-rules.md` makes it right again."""
    page = rules_page()
    assert (DOCS / "reference" / "billing-rules.md").read_text() == page
    for word in (*RTM_CODES, *PROFILES, *(str(row["name"]) for row in settings_table())):
        assert word in page


def test_the_cases_page_lists_every_worked_case() -> None:
    """`python -m rtm_billing.page --cases` prints the list below the page's own text."""
    page = (DOCS / "reference" / "billing-cases.md").read_text()
    assert page.endswith(cases_page())
    assert all(worked.says in page for worked in WORKED)
