/**
 * Which published answers depend on what, so that a change withdraws exactly those. Main thread only.
 * Memory: a handle is remembered as long as the table holds its answer, so the table bounds it.
 */
import type { Topic } from "../cluster/model.ts";
import type { AnswerHandle, AnswerTable, PublishedAnswer } from "./answer.ts";

export type Publisher = {
  /** `topics`: what the answer was read from, none for data that only time makes stale. May repeat. */
  publish(answer: PublishedAnswer, topics: readonly Topic[]): void;
  /** Call with what `apply` touched, before the change is acknowledged. */
  touch(topics: Iterable<Topic>): void;
  /** After a reload. */
  withdrawAll(): void;
  /** Answers under watch, and how many were withdrawn since the start. */
  stats(): { watched: number; topics: number; withdrawn: number };
};

export function createPublisher(table: AnswerTable): Publisher {
  /** Most topics have one answer: a set for each would cost more than the answer's own bookkeeping. */
  const handlesOf = new Map<Topic, AnswerHandle | Set<AnswerHandle>>();
  /** One topic as itself: a list for each would live as long as the answer. */
  const topicsOf = new Map<AnswerHandle, Topic | readonly Topic[]>();
  let withdrawn = 0;

  function forget(handle: AnswerHandle): void {
    const topics = topicsOf.get(handle);
    if (topics === undefined) return;
    topicsOf.delete(handle);
    if (typeof topics === "string") unwatch(topics, handle);
    else for (const topic of topics) unwatch(topic, handle);
  }

  function unwatch(topic: Topic, handle: AnswerHandle): void {
    const handles = handlesOf.get(topic);
    if (handles === handle) handlesOf.delete(topic);
    else if (typeof handles === "object") {
      handles.delete(handle);
      if (handles.size === 0) handlesOf.delete(topic);
    }
  }

  function watch(topic: Topic, handle: AnswerHandle): void {
    const handles = handlesOf.get(topic);
    if (handles === undefined) handlesOf.set(topic, handle);
    else if (typeof handles === "object") handles.add(handle);
    else if (handles !== handle) handlesOf.set(topic, new Set([handles, handle]));
  }

  function withdraw(handle: AnswerHandle): void {
    table.withdraw(handle);
    withdrawn++;
    forget(handle);
  }

  table.onEvict(forget);
  return {
    publish(answer, topics) {
      const handle = table.publish(answer);
      if (handle === 0 || topics.length === 0) return;
      topicsOf.set(handle, topics.length === 1 ? topics[0]! : topics);
      for (const topic of topics) watch(topic, handle);
    },
    touch(topics) {
      for (const topic of topics) {
        const handles = handlesOf.get(topic);
        if (typeof handles === "number") withdraw(handles);
        else if (handles !== undefined) for (const handle of handles) withdraw(handle);
      }
    },
    withdrawAll() {
      table.withdrawAll();
      handlesOf.clear();
      topicsOf.clear();
    },
    stats: () => ({ watched: topicsOf.size, topics: handlesOf.size, withdrawn }),
  };
}
