// The Worker whose objects the tests create and list. It runs inside workerd, not in Node.
import { DurableObject } from "cloudflare:workers";

class Stored extends DurableObject {
  async store(name) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS seeded (name TEXT PRIMARY KEY)");
    sql.exec("INSERT OR IGNORE INTO seeded (name) VALUES (?)", name);
    // Aborting discards writes that have not reached the disk yet.
    await this.ctx.storage.sync();
  }

  // Leaves memory at once. workerd otherwise keeps an idle object for about ten seconds, and with about 3,500 of them
  // it runs out of memory.
  leave() {
    this.ctx.abort("left on purpose");
  }
}

export class Room extends Stored {}
export class Counter extends Stored {}

async function leave(stub) {
  try {
    await stub.leave();
  } catch {
    // A call to an aborted object always throws the abort's reason.
  }
}

const operations = {
  async seed(namespace, name) {
    const id = namespace.idFromName(name);
    await namespace.get(id).store(name);
    await leave(namespace.get(id));
    return id.toString();
  },
  async leave(namespace, id) {
    await leave(namespace.get(namespace.idFromString(id)));
    return id;
  },
  // The ids of these names, computed without waking the objects.
  async ids(namespace, name) {
    return namespace.idFromName(name).toString();
  },
};

export default {
  async fetch(request, env) {
    const { operation, class: className, items } = await request.json();
    const results = await Promise.all(items.map((item) => operations[operation](env[className], item)));
    return Response.json(results);
  },
};
