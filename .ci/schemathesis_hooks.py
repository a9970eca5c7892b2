"""What a document can not say, told to Schemathesis. Each part says what a check would get wrong without it."""

from zlib import crc32

import schemathesis


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    same_id(case)
    no_made_up_cursor(case)
    ids_alone(case)
    short_conditions(case)
    each_field_once(case)
    whole_amounts(case.body)
    no_move_into_itself(case.body)
    few_made_up_conditions(case)


def same_id(case):
    """A product's id in the body of a PUT is the one in its path: JSON Schema has no word for that."""
    if case.operation.method == "put" and isinstance(case.body, dict) and "id" in case.body:
        case.body["id"] = case.path_parameters["productId"]


def no_made_up_cursor(case):
    """A cursor comes from a page of the same query, and there is one at most: a made-up one is refused, and rightly."""
    for name in ("after", "before"):
        if case.query:
            case.query.pop(name, None)
        if isinstance(case.body, dict) and case.path == "/products/search":
            case.body.pop(name, None)


def ids_alone(case):
    """A list of ids goes with no order and no condition: a rule between parameters, for which OpenAPI has no word."""
    if case.path == "/products" and case.query and "id" in case.query and not {"id", "select"}.issuperset(case.query):
        case.query.pop("id")


def short_conditions(case):
    """All conditions of a URL together have 2,000 characters at most, for which OpenAPI has no word."""
    for name, value in (case.query or {}).items():
        if isinstance(value, str) and len(value) > 100:
            case.query[name] = value[:100].replace("'", "x")


def each_field_once(case):
    """An order names each field once, ascending or descending: `+name` and `-name` are different to JSON Schema."""
    for where, join in ((case.query, ",".join), (case.body, list)):
        if isinstance(where, dict) and isinstance(where.get("sortby"), (str, list)):
            keys = where["sortby"].split(",") if isinstance(where["sortby"], str) else where["sortby"]
            if all(isinstance(key, str) for key in keys):
                once = {key.lstrip("+- "): key for key in keys}
                if len(once) < len(keys):
                    where["sortby"] = join(once.values())


def whole_amounts(body, is_amount=False):
    """To JSON Schema 10.0 is an integer. As an amount it is refused: who writes it thinks of 10.00 in the major unit."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name not in ("attributes", "filter"):
                body[name] = whole_amounts(value, is_amount or name in ("amount", "price"))
    elif isinstance(body, list):
        body[:] = [whole_amounts(item, is_amount) for item in body]
    elif is_amount and isinstance(body, float) and body.is_integer():
        return int(body)
    return body


def no_move_into_itself(body):
    """RFC 6902 section 4.4: nothing is moved into itself. How two members relate, JSON Schema has no word for."""
    if isinstance(body, list):
        for step in body:
            if isinstance(step, dict) and step.get("op") == "move" and isinstance(step.get("from"), str):
                step["path"] = step["from"]
    elif isinstance(body, dict):
        for item in body.get("items") or []:
            if isinstance(item, dict):
                no_move_into_itself(item.get("patch"))


def few_made_up_conditions(case):
    """Under a tag that was made up nothing goes further than 412; one of four fuzzed requests is enough for that."""
    kept = case.meta.phase.name.value == "fuzzing" and crc32(repr((case.path_parameters, case.body)).encode()) % 4 == 0
    reads = case.operation.method == "get"
    for name in () if kept else ("if-match", "if-unmodified-since") + (() if reads else ("if-none-match",)):
        case.headers.pop(name, None)
