"""REDbot's opinion of answers, with the level of each note; fails on a warning or worse that is not expected.

    run_redbot.py URL
"""

import sys
from configparser import ConfigParser

import thor
from httplint.note import levels
from redbot.resource import HttpResource

# Notes that stay although they are warnings, by their class, with the reason.
EXPECTED = {
    "STORE_PUBLIC_UNNECESSARY": "the rules for this API want every answer to say where it may be kept, in so many words",
}


def check(url: str) -> HttpResource:
    config = ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"], descend=False)
    resource.set_request(url)
    thor.events.on(resource, "check_done")(thor.stop)
    resource.check()
    thor.run()
    return resource


def report(url: str) -> bool:
    """Prints the notes; whether there is nothing among them to complain about."""
    resource = check(url)
    if resource.fetch_error is not None or not resource.has_response:
        print(f"{url}: no answer: {resource.fetch_error}")
        return False
    print(f"{url}: {resource.response.status_code_str}")
    fine = resource.response.status_code_str == "200"
    for note in resource.response.notes:
        name = type(note).__name__
        wrong = note.level in (levels.WARN, levels.BAD)
        reason = EXPECTED.get(name) if wrong else None
        fine = fine and (not wrong or reason is not None)
        why = f" (stays: {reason})" if reason else ""
        print(f"  {note.level.value:8} {note.summary} [{name}]{why}")
    return fine


if __name__ == "__main__":
    sys.exit(0 if report(sys.argv[1]) else 1)
