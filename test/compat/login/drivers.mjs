// node-postgres and postgres.js log in: TLS that is verified, SCRAM with and without channel binding, and what is refused.
// Arguments: the server that takes both, the one that wants TLS (host:port), the certificate, another's certificate.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { check, require } from '../clients/checks.mjs';

const pg = require('pg');
const postgres = require('postgres');
const [either, strict, certificate, foreign] = process.argv.slice(2);
const verified = { ca: readFileSync(certificate) };
const untrusted = { ca: readFileSync(foreign) };
const given = (address, ssl, password) => {
  const [host, port] = address.split(':');
  return { host, port: Number(port), user: 'driver', password, database: 'arka', ssl };
};
const coded = (code) => (error) => error.code === code || assert.fail(`${error.code}: ${error.message}`);

/** @param who logs in and says the user's name */
async function logsIn(who) {
  for (const ssl of [verified, { rejectUnauthorized: false }]) assert.equal(await who(strict, ssl), 'driver');
  assert.equal(await who(either, false), 'driver');
  await assert.rejects(who(strict, false), coded('28000'));
  await assert.rejects(who(either, untrusted), coded('DEPTH_ZERO_SELF_SIGNED_CERT'));
  await assert.rejects(who(strict, verified, 'wrong'), coded('28P01'));
}

async function nodePostgres(address, ssl, password = "b's", more = {}) {
  const client = new pg.Client({ ...given(address, ssl, password), ...more });
  await client.connect();
  const { rows } = await client.query('SELECT current_user AS who');
  await client.end();
  return rows[0].who;
}

async function postgresJs(address, ssl, password = "b's") {
  // for an address it gives Node no name to look for in the certificate
  const named = ssl === false ? ssl : { ...ssl, host: address.split(':')[0] };
  const sql = postgres({ ...given(address, named, password), max: 1 });
  try {
    const [{ who }] = await sql`SELECT current_user AS who`;
    return who;
  } finally {
    await sql.end();
  }
}

process.stdout.write(`client drivers of Node ${process.versions.node}\n`);
await check('node-postgres', async () => {
  await logsIn(nodePostgres);
  await logsIn((address, ssl, password) => nodePostgres(address, ssl, password, { enableChannelBinding: true }));
});
await check('postgres.js', () => logsIn(postgresJs));
process.exit(0);
