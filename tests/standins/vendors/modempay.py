"""A stand-in of Modem Pay, from its documentation of customers and its published clients."""

import uuid

from .stand_in import EMAIL, Refused, StandIn

BUSINESS = "a10a51ae-05c8-406e-968c-7b1d309a77e0"
ACCOUNT = "7788dd90-3801-47a6-8597-b46eaa0a7d7d"
TEXTS = ("name", "email", "phone")


class ModemPay(StandIn):
    name = "modempay"

    def credentials(self, account):
        return {"secret_key": f"sk_live_{account}"}

    def account_of(self, request):
        for account in self.accounts.values():
            if request.headers.get("Authorization") == f"Bearer {account.credentials['secret_key']}":
                return account
        raise Refused(*self.error(401, "Invalid API key"))

    def answer(self, request, account):
        match request.method, request.path:
            case "POST", ["v1", "customers"]:
                return self.create(account, request.json)
            case "GET", ["v1", "customers"]:
                return self.list(account, request.query)
            case "GET", ["v1", "customers", id, "payment-methods"]:
                self.find(account, id)
                return 200, {"data": [], "meta": {"total": 0}}
            case "GET", ["v1", "customers", id]:
                return 200, shown(self.find(account, id))
            case "PUT", ["v1", "customers", id]:
                return self.update(self.find(account, id), request.json)
            case "DELETE", ["v1", "customers", id]:
                account.records.pop(self.find(account, id)["id"])
                # The documents show no answer; the clients discard it.
                return 200, None
            case _, ["v1", "customers", *_]:
                return self.error(405, "Method not allowed")
        return self.error(404, "Not found")

    def create(self, account, body):
        self.check(body)
        if not body.get("name"):
            return self.error(400, "name is required")
        is_distinct = isinstance(body.get("config"), dict) and body["config"].get("distinct") is True
        if is_distinct and body.get("email"):
            # "checks for existing customers with matching fields (e.g., email)". The answer to a match is not
            # documented: here it is the customer who exists.
            for record in self.newest_first(account):
                if record["email"] == body["email"]:
                    return 200, shown(record)
        record = self.add(account, {name: body[name] for name in (*TEXTS, "balance") if name in body})
        return 201, shown(record)

    def update(self, record, body):
        # The fields of an update are below `data`; those of a create are not.
        fields = body.get("data") if isinstance(body, dict) else None
        self.check(fields)
        record.update({name: fields[name] for name in (*TEXTS, "balance") if name in fields})
        self.touched(record)
        return 200, shown(record)

    def list(self, account, query):
        # The clients send the term twice: `term` is the one that they always send.
        term = (query.get("term") or query.get("search") or "").lower()
        try:
            offset, limit = int(query.get("offset", 0)), int(query.get("limit", 10))
        except ValueError:
            return self.error(400, "offset and limit must be numbers")
        records = self.newest_first(account)
        if term:
            records = [r for r in records if any(term in (r[name] or "").lower() for name in TEXTS)]
        rows = [shown(record) for record in records[offset : offset + limit]]
        return 200, {"data": rows, "meta": {"total": len(records)}}

    def check(self, fields):
        if not isinstance(fields, dict):
            raise Refused(*self.error(400, "the body must be an object"))
        for name in TEXTS:
            # Nothing documents `null`, so nothing may be sent as `null`.
            if name in fields and not isinstance(fields[name], str):
                raise Refused(*self.error(400, f"{name} must be a string"))
        if "balance" in fields and (
            isinstance(fields["balance"], bool) or not isinstance(fields["balance"], int | float)
        ):
            raise Refused(*self.error(400, "balance must be a number"))
        if fields.get("email") and not EMAIL.fullmatch(fields["email"]):
            raise Refused(*self.error(422, "email must be an email"))

    def find(self, account, id):
        if id not in account.records:
            raise Refused(*self.error(404, "Customer not found"))
        return account.records[id]

    def error(self, status, message):
        return status, {"message": message, "statusCode": status}

    def malformed(self, detail):
        return self.error(400, detail)

    def stored(self, fields):
        time = self.time()
        empty = {"name": None, "email": None, "phone": None, "balance": 0}
        return {"id": str(uuid.uuid4()), **empty, "createdAt": time, "updatedAt": time, **fields}

    def touched(self, record):
        record["updatedAt"] = self.time()

    def time(self):
        return self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(record):
    return record | {"business_id": BUSINESS, "account_id": ACCOUNT, "test_mode": False}
