// What the scripts of Node clients share: who answers, and one line of JSON an operation.
import assert from 'node:assert/strict';

/** What the SDK is pointed at in the place of its vendor's origin. */
export const base = process.env.SDK_BASE;
/** A merchant's key at the gateway. */
export const key = process.env.SDK_KEY;

const provider = (await askGateway(`/v1/providers/${process.env.SDK_PROVIDER}`)).generations[0];

/** Asks the gateway's own API, which tells what the answering provider can do. */
async function askGateway(path, body) {
  const headers = { authorization: `Bearer ${process.env.SDK_GATEWAY_KEY}`, 'content-type': 'application/json' };
  const method = body ? 'POST' : 'GET';
  const answer = await fetch(process.env.SDK_GATEWAY + path, { method, headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

/** Creates a customer with the gateway's own API, for clients that cannot. */
export const createWithGateway = (customer) => askGateway('/v1/customers', customer);

/** Why the answering provider lacks an operation; `undefined` where it has it. */
export function lacks(operation) {
  const found = provider.operations.find((one) => one.operation === operation);
  return found.support === 'none' ? found.reason : undefined;
}

/** Why nobody can filter the answering provider's list by this. */
export function lacksFilter(parameter) {
  const found = provider.filters.find((one) => one.parameter === parameter);
  return found.answered_by === 'none' ? found.reason : undefined;
}

/** Whether an update of the answering provider's customers takes this field. */
export function holds(field) {
  return provider.fields.find((one) => one.field === field).update !== 'none';
}

/** The total that a page must tell. Where the provider tells none, a full page means that there may be one more. */
export function toldTotal(all, seen, isFull) {
  return provider.paging.tells_total ? all : seen + (isFull ? 1 : 0);
}

/** The members of an object are these, whatever else it has. */
export function has(object, expected) {
  const found = Object.fromEntries(Object.keys(expected).map((name) => [name, object?.[name]]));
  assert.deepEqual(found, expected);
}

/** A client's checks. `tell` reads the status and the message of what the client raises, and throws at anything else. */
export function checks(tell) {
  async function raised(call) {
    try {
      await call();
    } catch (error) {
      return tell(error);
    }
    return assert.fail('it was answered, not refused');
  }

  return {
    /** The call must be refused with this status, and a message that has this text. */
    async refused(status, text, call) {
      const told = await raised(call);
      assert.equal(told.status, status, `status of "${told.message}"`);
      assert.ok(told.message.includes(text), `"${told.message}" has no "${text}"`);
    },

    /** Runs one operation. Where the provider lacks it, it must fail as the vendor's own refusals do, with the reason. */
    async operation(name, run, lacking) {
      const report = (outcome, detail) => console.log(JSON.stringify({ operation: name, outcome, detail }));
      try {
        if (lacking === undefined) {
          await run();
          return report('works');
        }
        const { status, message } = await raised(run);
        assert.ok(status >= 400 && status < 500 && ![401, 403, 429].includes(status), `refused with ${status}: ${message}`);
        assert.ok(message.includes(lacking), `"${message}" does not say "${lacking}"`);
        report('lacking', lacking);
      } catch (error) {
        report('failed', error.stack ?? String(error));
      }
    },
  };
}
