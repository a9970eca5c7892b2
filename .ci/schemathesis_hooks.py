"""What a document can not say, told to Schemathesis. Each part says what a check would get wrong without it."""

import schemathesis


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    same_id(case)
    no_made_up_cursor(case)
    whole_amounts(case.body)


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
