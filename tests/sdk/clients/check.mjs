// Shared by the scripts of Node clients: the answering provider, and one line of JSON for each operation.
import assert from 'node:assert/strict';

/** The base URL for the SDK, in place of its vendor's origin. */
export const base = process.env.SDK_BASE;
/** The API key of the merchant at the gateway. */
export const key = process.env.SDK_KEY;

const provider = (await askGateway(`/v1/providers/${process.env.SDK_PROVIDER}`)).generations[0];

/** Sends a request to the gateway's own API, which lists what the answering provider can do. */
async function askGateway(path, body) {
  const headers = { authorization: `Bearer ${process.env.SDK_GATEWAY_KEY}`, 'content-type': 'application/json' };
  const method = body ? 'POST' : 'GET';
  const answer = await fetch(process.env.SDK_GATEWAY + path, { method, headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

/** Creates a customer with the gateway's own API, for clients that have no create. */
export const createWithGateway = (customer) => askGateway('/v1/customers', customer);

/** Why the answering provider lacks an operation. `undefined` if it has the operation. */
export function lacks(operation) {
  const found = provider.operations.find((one) => one.operation === operation);
  return found.support === 'none' ? found.reason : undefined;
}

/** Why the answering provider's list cannot be filtered by this field. */
export function lacksFilter(parameter) {
  const found = provider.filters.find((one) => one.parameter === parameter);
  return found.answered_by === 'none' ? found.reason : undefined;
}

/** Whether the answering provider can update this field of a customer. */
export function stores(field) {
  return provider.fields.find((one) => one.field === field).update !== 'none';
}

/** The total that a page must have. If the provider gives no total, a full page announces one more customer. */
export function expectedTotal(all, seen, isFull) {
  return provider.paging.tells_total ? all : seen + (isFull ? 1 : 0);
}

/** Asserts that an object has these members. It may have others. */
export function has(object, expected) {
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, object?.[name]]));
  assert.deepEqual(found, expected);
}

/** The checks of a client. `decodeError` reads the status and the message of the client's errors, and throws others. */
export function checks(decodeError) {
  async function errorOf(call) {
    try {
      await call();
    } catch (error) {
      return decodeError(error);
    }
    return assert.fail('the call succeeded, but it should have been refused');
  }

  return {
    /** Asserts that the call is refused with this status, and with a message that contains this text. */
    async refused(status, text, call) {
      const error = await errorOf(call);
      assert.equal(error.status, status, `status of "${error.message}"`);
      assert.ok(error.message.includes(text), `"${error.message}" does not contain "${text}"`);
    },

    /** Runs one operation. If the provider lacks it, it must fail with the reason, in the vendor's shape. */
    async operation(name, run, lacking) {
      const report = (outcome, detail) => console.log(JSON.stringify({ operation: name, outcome, detail }));
      try {
        if (lacking === undefined) {
          await run();
          return report('works');
        }
        const { status, message } = await errorOf(run);
        assert.ok(status >= 400 && status < 500 && ![401, 403, 429].includes(status), `refused with ${status}: ${message}`);
        assert.ok(message.includes(lacking), `"${message}" does not contain "${lacking}"`);
        report('lacking', lacking);
      } catch (error) {
        report('failed', error.stack ?? String(error));
      }
    },
  };
}
