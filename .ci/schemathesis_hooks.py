"""What a document can not say, told to Schemathesis. Each part says what a check would get wrong without it."""

import schemathesis


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    same_id(case)
    no_made_up_cursor(case)
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


def whole_amounts(body):
    """To JSON Schema 10.0 is an integer. As an amount it is refused: who writes it thinks of 10.00 in the major unit."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name == "amount" and isinstance(value, float) and value.is_integer():
                body[name] = int(value)
            elif name != "attributes":
                whole_amounts(value)
    elif isinstance(body, list):
        for item in body:
            whole_amounts(item)


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
    """A write under a tag that was made up goes no further than 412; two phases are enough for that."""
    if case.operation.method != "get" and case.meta.phase.name.value not in ("examples", "coverage"):
        for name in ("if-match", "if-none-match", "if-unmodified-since"):
            case.headers.pop(name, None)
