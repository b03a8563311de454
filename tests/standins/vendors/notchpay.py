"""A stand-in of Notch Pay, from its page "Customers API"; blocking is from its OpenAPI document."""

import uuid

from .stand_in import EMAIL, Refused, StandIn, page_of, seconds

FIELDS = ("name", "email", "phone", "metadata", "company_name", "address", "billing", "tax_number")
# The page shows only these in a list.
IN_LISTS = ("id", "name", "email", "phone", "created_at")
LONGEST = {"name": 128, "email": 240}
STATUS = {200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
STATUS[422] = "Unprocessable Entity"


class NotchPay(StandIn):
    name = "notchpay"

    def credentials(self, account):
        return {"public_key": f"pk.{account}"}

    def account_of(self, request):
        key = request.headers.get("Authorization")
        if not key:
            raise Refused(*self.say(401, "API key is missing"))
        for account in self.accounts.values():
            if account.credentials["public_key"] == key:
                return account
        raise Refused(*self.say(401, "Invalid API key"))

    def answer(self, request, account):
        match request.method, request.path:
            case "POST", ["customers"]:
                return self.create(account, request.json)
            case "GET", ["customers"]:
                return self.list(account, request.query)
            case "GET", ["customers", id]:
                return self.say(200, "Customer retrieved", customer=self.find(account, id))
            case "PUT" | "POST", ["customers", id]:
                return self.update(self.find(account, id), request.json)
            case "DELETE", ["customers", id]:
                account.records.pop(self.find(account, id)["id"])
                return self.say(200, "Customer deleted")
            case "POST" | "PUT" | "PATCH", ["customers", id, "block" | "unblock" as action]:
                record = self.find(account, id)
                record["blocked"] = action == "block"
                self.touched(record)
                return self.say(202, f"Customer {action}ed successfully", customer=record)
            case "GET", ["customers", id, "payments" | "payment_methods"]:
                self.find(account, id)
                return self.items(200, "Retrieved", [], 1, 30)
        return self.say(404, "Not found")

    def create(self, account, body):
        self.check(body)
        errors = {}
        if not body.get("name"):
            errors["name"] = ["The name field is required."]
        if not body.get("email") and not body.get("phone"):
            errors["email"] = ["The email field is required when phone is not present."]
            errors["phone"] = ["The phone field is required when email is not present."]
        if errors:
            raise Refused(*self.say(422, "Validation failed", errors=errors))
        record = self.add(account, {name: body[name] for name in FIELDS if name in body})
        return self.say(201, "Customer created", customer=record)

    def update(self, record, body):
        self.check(body)
        new = {name: body[name] for name in FIELDS if name in body}
        # An update may clear one of the two, and not both.
        if not {**record, **new}["email"] and not {**record, **new}["phone"]:
            errors = {"email": ["The email field is required when phone is not present."]}
            return self.say(422, "Validation failed", errors=errors)
        record.update(new)
        self.touched(record)
        return self.say(200, "Customer updated", customer=record)

    def list(self, account, query):
        try:
            limit, page = int(query.get("limit", 30)), int(query.get("page", 1))
        except ValueError:
            limit = page = 0
        if page < 1 or not 1 <= limit <= 100:
            return self.say(400, "Invalid request parameters")
        records = self.newest_first(account)
        if query.get("search"):
            term = query["search"].lower()
            names = ("name", "email", "phone")
            records = [record for record in records if any(term in (record[name] or "").lower() for name in names)]
        return self.items(200, "Customers retrieved", records, page, limit)

    def items(self, status, message, records, page, limit):
        items = [{name: record[name] for name in IN_LISTS} for record in page_of(records, page, limit)]
        last = max(1, -(-len(records) // limit))
        counts = {"totals": len(records), "last_page": last, "current_page": page, "selected": len(items)}
        return self.say(status, message, **counts, items=items)

    def check(self, body):
        errors = {}
        if not isinstance(body, dict):
            raise Refused(*self.say(400, "Invalid JSON payload"))
        for name in ("name", "email", "phone", "company_name", "tax_number"):
            value = body.get(name)
            if value is not None and not isinstance(value, str):
                errors[name] = [f"The {name} must be a string."]
            elif value and len(value) > LONGEST.get(name, 512):
                errors[name] = [f"The {name} may not be greater than {LONGEST[name]} characters."]
        if isinstance(body.get("email"), str) and not EMAIL.fullmatch(body["email"]):
            errors["email"] = ["Invalid email address"]
        if not isinstance(body.get("metadata", {}), dict):
            errors["metadata"] = ["The metadata must be an object."]
        for name in ("address", "billing"):
            address = body.get(name) or {}
            if not isinstance(address, dict):
                errors[name] = [f"The {name} must be an object."]
            elif address.get("country") is not None and len(address["country"]) != 2:
                errors[f"{name}.country"] = ["The country must be an ISO 3166-1 alpha-2 code."]
        if errors:
            raise Refused(*self.say(422, "Validation failed", errors=errors))

    def find(self, account, id):
        if id not in account.records:
            raise Refused(*self.say(404, "Customer not found"))
        return account.records[id]

    def say(self, status, message, **more):
        if "customer" in more:
            more["customer"] = shown(more["customer"])
        limit = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "98", "X-RateLimit-Reset": str(seconds() + 60)}
        return status, {"code": status, "status": STATUS[status], "message": message, **more}, limit

    def malformed(self, _):
        return self.say(400, "Invalid JSON payload")

    def stored(self, fields):
        time = self.time()
        empty = {name: None for name in FIELDS} | {"metadata": {}, "blocked": False}
        id = f"cus.{uuid.uuid4().hex[:16]}"
        return {"id": id, **empty, "created_at": time, "updated_at": time, **fields}

    def touched(self, record):
        record["updated_at"] = self.time()

    def time(self):
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(record):
    """Names and contacts are there also where they are null."""
    return {name: value for name, value in record.items() if value is not None or name in ("name", "email", "phone")}
