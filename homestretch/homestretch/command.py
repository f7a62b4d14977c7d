"""How every command speaks: a result on standard output, one plain sentence on failure, no traceback."""

from __future__ import annotations

import json
import os
import sys
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from rtm_server.errors import ServerError

SUCCESS, FAILURE, WRONG_USAGE = 0, 1, 2


class CommandError(Exception):
    """A failure with the sentence that the person reads and the exit status that a script reads."""

    def __init__(self, sentence: str, status: int = FAILURE) -> None:
        super().__init__(sentence)
        self.status = status


def print_json(document: object) -> None:
    """Print exactly one JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """Tell the person something that is not the result, on standard error: `--json` stays one document."""
    print(text, file=sys.stderr, flush=True)


def stop(sentence: str, status: int, *, as_json: bool) -> NoReturn:
    """End the command with one sentence."""
    if as_json:
        print_json({"error": sentence})
    say(f"rtm: {sentence}")
    raise typer.Exit(status)


def one_sentence(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none; files and settings in plain words."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"rtm.toml is not TOML: {error}."
    if isinstance(error, ValueError) and (sentence := _of_settings(error)) is not None:
        return sentence
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _of_settings(error: ValueError) -> str | None:
    """The first setting that is wrong, by its variable; never its value, which may be a secret."""
    from pydantic import ValidationError  # noqa: PLC0415 - slow, and needed on this way only

    if not isinstance(error, ValidationError):
        return None
    first = error.errors(include_url=False, include_input=False)[0]
    return f"RTM_{'__'.join(map(str, first['loc'])).upper()}: {first['msg']}."


@contextmanager
def plain_failures(*, as_json: bool = False) -> Iterator[None]:
    """Turn every failure of a command into one plain sentence; RTM_DEBUG=1 shows the traceback as well."""
    try:
        yield
    except (typer.Exit, typer.Abort, KeyboardInterrupt):
        raise
    except CommandError as error:
        stop(str(error), error.status, as_json=as_json)
    except (ValueError, OSError, LookupError, RuntimeError, ServerError) as error:
        if os.environ.get("RTM_DEBUG"):
            traceback.print_exc()
        stop(one_sentence(error), FAILURE, as_json=as_json)
    except ImportError as error:
        missing = f"the package {error.name} is missing: install homestretch[all], or the extra it belongs to"
        stop(missing, FAILURE, as_json=as_json)
    except Exception as error:
        if os.environ.get("RTM_DEBUG"):
            traceback.print_exc()
        stop(
            f"unexpected {type(error).__name__}: {one_sentence(error)} (RTM_DEBUG=1 shows where)",
            FAILURE,
            as_json=as_json,
        )
