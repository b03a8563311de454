"""A stand-in of lomi., generation v1, from its reference page "Customers" and its published server code."""

import uuid

from .stand_in import EMAIL, UUID, Refused, StandIn, page_of

MERCHANT = "904d003c-3736-41d4-90a5-9de74d404fd7"
ORGANISATION = "0979ec77-9fb1-4c9a-8c55-d7fb6c182c9c"
TEXTS = ("name", "email", "phone_number", "whatsapp_number", "country", "city", "address", "postal_code")


class Lomi(StandIn):
    name = "lomi"

    def credentials(self, account):
        return {"api_key": f"lomi_sk_live_{account}"}

    def account_of(self, request):
        key = request.headers.get("X-API-Key")
        if not key:
            raise Refused(401, {"error": {"message": "API key missing"}})
        for account in self.accounts.values():
            if account.credentials["api_key"] == key:
                return account
        raise Refused(401, {"error": {"message": "Invalid API key"}})

    def answer(self, request, account):
        match request.method, request.path:
            case "POST", ["v1", "customers"]:
                return self.create(account, request.json)
            case "GET", ["v1", "customers"]:
                return self.list(account, request.query)
            case "GET", ["v1", "customers", id]:
                record = self.find(id, "Failed to retrieve customer")
                if not record:
                    return self.error(404, "NOT_FOUND", "Customer not found")
                return self.one(200, shown(record))
            case "PATCH", ["v1", "customers", id]:
                return self.update(id, request.json)
            case "DELETE", ["v1", "customers", id]:
                record = self.find(id, "Failed to delete customer")
                if record:
                    self.owner(record).records.pop(record["id"])
                # A customer that is unknown or deleted has this answer, too.
                return self.one(200, {"customer_id": id, "deleted": True})
        return 404, f"<pre>Cannot {request.method} /{'/'.join(request.path)}</pre>"

    def create(self, account, body):
        self.check(body, is_new=True)
        # The record does not get the metadata: the server only repeats them in this answer.
        record = self.add(
            account,
            {name: body.get(name) or "" for name in TEXTS}
            | {
                "is_business": body.get("is_business", False),
                "metadata": None,
                "listed": False,
            },
        )
        # Optional texts that the body lacks are not in this answer. In the record they are empty.
        given = {name: body[name] for name in (*TEXTS, "is_business", "metadata") if name in body}
        time = self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"customer_id": record["id"], "merchant_id": MERCHANT, "organization_id": ORGANISATION}
        return self.one(201, {**head, "is_business": False, **given, "created_at": time, "updated_at": time})

    def update(self, id, body):
        self.check(body, is_new=False)
        record = self.find(id, "Failed to update customer")
        if not record:
            return self.one(200, {"metadata": body.get("metadata")})
        before = shown(record)
        for name in TEXTS:
            # An empty text does not clear a field.
            record[name] = body.get(name) or record[name]
        record["is_business"] = body.get("is_business", record["is_business"])
        self.touched(record)
        # The server reads the customer as an array of rows, so its answer is no customer.
        return self.one(200, {"0": before, "metadata": body.get("metadata")})

    def list(self, account, query):
        try:
            limit, page = int(query.get("limit", 20)), int(query.get("page", 1))
        except ValueError:
            limit = page = 0
        if limit < 1 or page < 1:
            return self.error(500, "DATABASE_ERROR", "Failed to retrieve customers", "OFFSET must not be negative")
        # "By default, this endpoint only returns customers who have completed or refunded transactions."
        records = [record for record in self.newest_first(account) if record["listed"]]
        if "email" in query:
            # Documented as exact; the code searches a part of the name or of the address. It ignores the other filter.
            term = query["email"].lower()
            records = [r for r in records if term in (r["name"] or "").lower() or term in (r["email"] or "").lower()]
        elif "phone_number" in query:
            records = [record for record in records if record["phone_number"] == query["phone_number"]]
        rows = [shown(record) for record in page_of(records, page, limit)]
        return 200, {"data": rows, "meta": {"current_page": page, "per_page": limit}}

    def check(self, body, is_new):
        if not isinstance(body, dict):
            body = {}
        problems = {}
        if is_new and "name" not in body:
            problems["name"] = "Required"
        for name, kind, word in [(name, str, "string") for name in TEXTS] + [
            ("is_business", bool, "boolean"),
            ("metadata", dict, "object"),
        ]:
            if name in body and not isinstance(body[name], kind):
                problems[name] = f"Expected {word}, received {word_of(body[name])}"
        if isinstance(body.get("email"), str) and not EMAIL.fullmatch(body["email"]):
            problems["email"] = "Invalid email"
        if problems:
            details = {"_errors": [], **{name: {"_errors": [text]} for name, text in problems.items()}}
            raise Refused(*self.error(400, "INVALID_REQUEST", "Invalid request body", details))

    def find(self, id, message):
        """The record with this id. The server does not check whose it is."""
        if not UUID.fullmatch(id):
            detail = f'invalid input syntax for type uuid: "{id}"'
            raise Refused(*self.error(500, "DATABASE_ERROR", message, detail))
        for account in self.accounts.values():
            if id.lower() in account.records:
                return account.records[id.lower()]
        return None

    def owner(self, record):
        return next(account for account in self.accounts.values() if record["id"] in account.records)

    def one(self, status, customer):
        return status, {"data": {**customer, "environment": "live"}}

    def error(self, status, code, message, details=None):
        error = {"status": status, "code": code, "message": message}
        if details:
            error["details"] = details
        return status, {"error": {**error, "timestamp": self.now().isoformat(timespec="milliseconds")}}

    def malformed(self, detail):
        return 400, {"error": {"message": detail}}

    def stored(self, fields):
        time = self.now().isoformat(timespec="microseconds")
        empty = {name: None for name in TEXTS} | {"is_business": False, "metadata": None, "listed": True}
        return {"id": str(uuid.uuid4()), **empty, "created_at": time, "updated_at": time, **fields}

    def touched(self, record):
        record["updated_at"] = self.now().isoformat(timespec="microseconds")


def shown(record):
    head = {"customer_id": record["id"], "merchant_id": MERCHANT, "organization_id": ORGANISATION}
    return head | {name: value for name, value in record.items() if name not in ("id", "listed")}


def word_of(value):
    words = {str: "string", bool: "boolean", dict: "object", list: "array", type(None): "null"}
    return words.get(type(value), "number")
