/**
 * Threads that do much and promise little give way: while a flush sorts and writes with all cores, what main owes to a
 * commit is ten milliseconds. Linux alone has priorities by thread; elsewhere nothing happens.
 *
 * A thread that is started takes over its starter's priority, so DuckDB's own threads have that of theirs.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** So much behind main: about a third of its share while both want a core, all that is wanted otherwise. */
const BEHIND = 5;
const LOWEST = 19;

const behindMain = (): number => Math.min(LOWEST, getPriority(process.pid) + BEHIND);

/** The calling thread. */
export function giveWay(): void {
  quietly(() => setPriority(Number(/\d+$/.exec(readlinkSync('/proc/thread-self'))![0]), behindMain()));
}

/** The process's threads of that name, such as libuv's pool, where DuckDB's queries run. */
export function letGiveWay(name: string): void {
  quietly(() => {
    for (const thread of readdirSync('/proc/self/task')) {
      quietly(() => {
        if (readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim() === name)
          setPriority(Number(thread), behindMain());
      });
    }
  });
}

/** A priority is a wish: where it cannot be had all works without. */
function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // another system, a thread that has ended, or a lower limit than ours
  }
}
