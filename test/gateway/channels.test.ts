/** LISTEN and NOTIFY of a slow session. */
import { expect, test } from 'vitest';
import { Channels, Listener, WAITING_BYTES_MAX, type Notification } from '../../src/gateway/channels.ts';

test('what waits for a session that does not read has a bound, and is told in order when it reads again', () => {
  const channels = new Channels();
  const told: Notification[] = [];
  let takes = false;
  const slow = new Listener(
    channels,
    1,
    (said) => takes && told.push(said) > 0,
    () => true,
  );
  const loud = new Listener(
    channels,
    2,
    () => true,
    () => true,
  );
  const commit = (listener: Listener): void => {
    listener.admit();
    listener.take()?.();
  };
  slow.listen('c');
  commit(slow);
  let said = 0;
  expect(() => {
    for (;;) {
      loud.notify('c', `${said} ${'x'.repeat(7000)}`);
      commit(loud);
      said++;
    }
  }).toThrow(expect.objectContaining({ code: '54000' }));
  loud.rollback();
  expect(slow.waitingBytes).toBeLessThanOrEqual(WAITING_BYTES_MAX);
  expect(channels.usage).toBeGreaterThan(0.99);
  takes = true;
  slow.deliver();
  expect(told.map(({ payload }) => Number.parseInt(payload, 10))).toEqual(Array.from({ length: said }, (_, i) => i));
  expect(channels.usage).toBe(0);
  slow.close();
  loud.notify('c', 'nobody listens');
  commit(loud);
  expect(slow.waitingBytes).toBe(0);
});
