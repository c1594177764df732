/** Connections to a server under test. */
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { Client } from 'pg';

/** A client that does not end the test when its server is stopped or killed: the query under way rejects with that. */
export async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** The CancelRequest of the protocol, on a connection of its own. */
export async function cancelRequest(client: Client): Promise<void> {
  const { processID, secretKey, host, port } = client as Client & { processID: number; secretKey: number };
  const message = Buffer.alloc(16);
  for (const [i, value] of [16, 80_877_102, processID, secretKey].entries()) message.writeInt32BE(value, i * 4);
  const socket = connectSocket(port, host);
  socket.end(message);
  await once(socket, 'close');
}
