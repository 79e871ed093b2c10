/** Who waits for which topic; keys and prefixes of the KV store match each other by prefix. */
import type { Topic } from "../cluster/model.ts";
import { compareText, SortedList } from "../cluster/sorted.ts";

const keyMark = "kv:";
const prefixMark = "kv*";
const treeMark = "kv-tree:";

/** Waiters by topic. Its cost depends on those who match, not on how many wait for something else. */
export type TopicIndex<W> = {
  join(topic: Topic, waiter: W): void;
  leave(topic: Topic, waiter: W): void;
  /**
   * Calls `found` for everybody whose topic a touched one concerns: the same topic; for `kv:<key>`
   * also `kv*<p>` with p a prefix of the key; for `kv-tree:<p>` every key and every prefix below p and
   * every prefix of p. `found` has to make each waiter leave all its topics.
   */
  take(touched: Topic, found: (waiter: W) => void): void;
  /** Topics that somebody waits for. */
  readonly size: number;
};

/** An index with nobody in it. */
export function createTopicIndex<W>(): TopicIndex<W> {
  const byTopic = new Map<Topic, Set<W>>();
  /** Topics of the first two marks, so that those below a prefix stand together. */
  const ordered = new SortedList<Topic, Topic>(compareText);
  /** Length of a watched prefix → how many such prefixes. */
  const prefixLengths = new Map<number, number>();

  function countLength(topic: Topic, by: 1 | -1): void {
    const length = topic.length - prefixMark.length;
    const count = (prefixLengths.get(length) ?? 0) + by;
    if (count > 0) prefixLengths.set(length, count);
    else prefixLengths.delete(length);
  }

  function appear(topic: Topic): void {
    if (topic.startsWith(prefixMark)) countLength(topic, 1);
    else if (!topic.startsWith(keyMark)) return;
    ordered.put(topic);
  }

  function vanish(topic: Topic): void {
    if (topic.startsWith(prefixMark)) countLength(topic, -1);
    else if (!topic.startsWith(keyMark)) return;
    ordered.remove(topic);
  }

  function takeExactly(topic: Topic, found: (waiter: W) => void): void {
    const waiters = byTopic.get(topic);
    if (waiters) for (const waiter of waiters) found(waiter);
  }

  /** At most as many looks as the key has characters. */
  function takePrefixesOf(key: string, found: (waiter: W) => void): void {
    for (const length of prefixLengths.keys())
      if (length <= key.length) takeExactly(prefixMark + key.slice(0, length), found);
  }

  /** Those who were found leave, so the next one is always the first. */
  function takeBelow(start: Topic, found: (waiter: W) => void): void {
    for (;;) {
      const [topic] = ordered.from(start, 1);
      if (topic === undefined || !topic.startsWith(start)) return;
      takeExactly(topic, found);
    }
  }

  return {
    join(topic, waiter) {
      const waiters = byTopic.get(topic);
      if (waiters) {
        waiters.add(waiter);
        return;
      }
      byTopic.set(topic, new Set([waiter]));
      appear(topic);
    },
    leave(topic, waiter) {
      const waiters = byTopic.get(topic);
      if (!waiters?.delete(waiter) || waiters.size > 0) return;
      byTopic.delete(topic);
      vanish(topic);
    },
    take(touched, found) {
      takeExactly(touched, found);
      if (touched.startsWith(keyMark)) {
        takePrefixesOf(touched.slice(keyMark.length), found);
      } else if (touched.startsWith(treeMark)) {
        const prefix = touched.slice(treeMark.length);
        takePrefixesOf(prefix, found);
        takeBelow(keyMark + prefix, found);
        takeBelow(prefixMark + prefix, found);
      }
    },
    get size() {
      return byTopic.size;
    },
  };
}
