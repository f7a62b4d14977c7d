"""Forms over what is on file as JSON: fields as data, checks that say what to mend, changes merged and never lost."""
