"""Makes the OpenAPI document of one merchant from that of all merchants, and from what `GET /v1/merchant` says.

The document of the gateway is for every provider, so it allows more than one provider takes. The documents here allow what
this provider takes: only operations, fields, filters and look-ups that it has, and creates only with what it requires. The
gateway must accept every request that agrees with them, so what `GET /v1/merchant` says is tested as well.
"""

import copy

# The operations of the capabilities, as the document names them.
NAMES = {
    **{name: f"{name}_customer" for name in ("create", "retrieve", "update", "delete", "block", "unblock")},
    **{name: f"list_{name}" for name in ("payment_methods", "payments", "overdue_invoices")},
    "find": "lookup_customer",
    "list": "list_customers",
}
# Not every database can store U+0000.
TEXT = {"pattern": r"^[^\x00]*$"}
# What OpenAPI cannot say of every program that reads JSON: an integer has 64 bits at most, at any depth.
VALUE = {
    "anyOf": [
        {"type": ["null", "boolean"]},
        {"type": "string", **TEXT},
        {"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1},
        {"type": "number", "not": {"type": "integer"}},
        {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
        {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}, "propertyNames": TEXT},
    ]
}


# Parameters that depend on more than the document: a cursor on its list, `distinct` on a field that identifies the customer, and
# `elsewhere` on a switch that took place. The first two are tested alone.
LEFT_OUT = {"cursor", "distinct", "elsewhere"}


def operations(document):
    """Every operation by its name, with its path and method."""
    return {
        operation["operationId"]: (path, method) for path, methods in document["paths"].items() for method, operation in methods.items()
    }


def lacking(provider):
    """The names of the operations that the provider does not have."""
    return [NAMES[entry["operation"]] for entry in provider["operations"] if entry["support"] == "none"]


def narrowed(document, provider):
    """The document with what the provider takes. Look-ups and cursors have documents of their own. Operations that the provider
    does not have stay, because their paths answer with all methods in `Allow`."""
    document = copy.deepcopy(document)
    found = operations(document)
    refused = {entry["parameter"] for entry in provider["filters"] if entry["answered_by"] == "none"}
    for name, (path, method) in found.items():
        left_out = {"list_operations": set(), "list_customers": LEFT_OUT | refused}.get(name, LEFT_OUT)
        keep_parameters(document["paths"][path][method], lambda parameter, left_out=left_out: parameter["name"] not in left_out)
    schemas = document["components"]["schemas"]
    schemas["Value"] = VALUE
    for name, verb in {"create_customer": "create", "update_customer": "update"}.items():
        path, method = found[name]
        schemas[f"{verb}Fields"] = body(schemas, provider, verb, has_full_name=verb == "update")
        # The example has fields of every provider.
        content = {"schema": {"$ref": f"#/components/schemas/{verb}Fields"}}
        document["paths"][path][method]["requestBody"]["content"]["application/json"] = content
    return document


def alone(document, name, parameter, schema=None, is_needed=False):
    """The document in which one operation takes a parameter, and only those of all operations beside it."""
    document = copy.deepcopy(document)
    path, method = operations(document)[name]
    operation = document["paths"][path][method]
    keep_parameters(operation, lambda sent: sent["in"] != "query" or sent["name"] in (parameter, "explain", "include"))
    (only,) = [sent for sent in operation["parameters"] if sent["name"] == parameter]
    only.update({"required": is_needed, "schema": schema or only["schema"]})
    return document


def distinct(document, provider):
    """The document in which a create has `distinct`, and an e-mail address by which the customer is found."""
    own = narrowed(document, provider)
    path, method = operations(document)["create_customer"]
    own["paths"][path][method]["parameters"] = document["paths"][path][method]["parameters"]
    own = alone(own, "create_customer", "distinct")
    schemas = own["components"]["schemas"]
    schemas["createFields"] = body(schemas, provider, "create", has_full_name=True)
    schemas["createFields"].setdefault("allOf", []).append(given(schemas["createFields"]["properties"], "email"))
    return own


def of_operator(document, merchant):
    """The document of the operator's API with what the configuration has, a merchant and its two connections, and with the record
    that a link needs."""
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    schemas["ActiveBody"]["properties"]["connection"] = {"type": "string", "enum": ["main", "new"]}
    schemas["PlanBody"]["properties"].update(merchant={"type": "string", "const": merchant}, to={"type": "string", "const": "new"})
    path, method = operations(document)["plan_switch"]
    plan = document["paths"][path][method]
    schemas["Decision"]["allOf"] = [
        {"if": {"properties": {"decision": {"const": "link"}}}, "then": {"required": ["link_id"], "properties": {"link_id": {"type": "string"}}}}
    ]
    # With a list of customers as the body, parameters say what the members of the JSON say.
    keep_parameters(plan, lambda parameter: parameter["in"] != "query")
    del plan["requestBody"]["content"]["application/x-ndjson"]
    return document


def keep_parameters(operation, is_kept):
    operation["parameters"] = [parameter for parameter in operation.get("parameters", []) if is_kept(parameter)]


def body(schemas, provider, verb, has_full_name):
    """The fields that a create or an update of the provider takes, with the full name or its parts."""
    fields = copy.deepcopy(schemas["CustomerFields"])
    parts = copy.deepcopy(schemas["AddressFields"])
    fields["properties"]["address"] = {"anyOf": [parts, {"type": "null"}]}
    for entry in provider["fields"]:
        object_, _, part = entry["field"].rpartition(".")
        if entry[verb] == "none":
            (parts if object_ else fields)["properties"].pop(part, None)
    properties = fields["properties"]
    if not parts["properties"]:
        del properties["address"]
    if "metadata" in properties:
        properties["metadata"]["additionalProperties"] = {"$ref": "#/components/schemas/Value"}
    # A full name and its parts must say the same, which no schema can compare. So a body has one of the two.
    for name in ["first_name", "last_name"] if has_full_name else ["name"]:
        properties.pop(name, None)
    for needed in provider["requires"]:
        *others, last = [field for field in needed["any_of"] if field in properties]
        if verb == "create":
            fields.setdefault("allOf", []).append({"anyOf": [given(properties, field) for field in [*others, last]]})
        elif others:
            # It is never cleared, so the others can be.
            del properties[last]
        else:
            not_null(properties[last])
    if verb == "update" and provider["clears"]["support"] == "none":
        for field in [*properties.values(), *parts["properties"].values()]:
            not_null(field)
    return fields


def given(properties, field):
    return {"required": [field], "properties": {field: {**properties[field], "type": "string"}}}


def not_null(field):
    if isinstance(field.get("type"), list):
        (field["type"],) = [kind for kind in field["type"] if kind != "null"]
    for kind in ("oneOf", "anyOf"):
        if kind in field:
            field[kind] = [one for one in field[kind] if one != {"type": "null"}]
