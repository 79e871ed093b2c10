// What a connection may bring beside its questions, second by second.
import t from "tap";
import { createAllowance } from "../../src/dns/allowance.ts";

const KIB = 1024;

t.test("at once: 128 KiB, then 4 KiB in each second", async (t) => {
  const one = createAllowance(1_000);
  t.ok(one.take(128 * KIB, 1_000));
  t.notOk(one.take(128 * KIB + 1, 1_000));
  const slow = createAllowance(0);
  let octets = 128 * KIB;
  t.ok(slow.take(octets, 0));
  for (let second = 1; second <= 100; second++)
    t.ok(slow.take((octets += 4 * KIB), second * 1_000));
  t.notOk(slow.take(octets + 4 * KIB + 1, 101_000));
});

t.test("requests and their bodies bring their own", async (t) => {
  const one = createAllowance(0);
  t.ok(one.take(128 * KIB, 0));
  one.request();
  t.ok(one.take(144 * KIB, 0), "16 KiB for a head");
  one.request();
  one.body(65_535);
  t.ok(one.take(160 * KIB + 2 * 65_535, 0), "a body in frames of a few octets");
  t.notOk(one.take(160 * KIB + 2 * 65_535 + 1, 0));
});

t.test("nothing is saved up beyond the first allowance", async (t) => {
  const one = createAllowance(0);
  for (let i = 0; i < 1_000; i++) one.request();
  t.ok(one.take(500_000, 3_600_000));
  t.notOk(one.take(500_000 + 128 * KIB + 1, 3_600_000));
});
