"""python-consul, as Debian packages it, against the server whose port is the argument."""
import sys
import threading
import time

import consul

PORT = int(sys.argv[1])
TOKEN = sys.argv[2] if len(sys.argv) > 2 else None


def client(**over):
    return consul.Consul(port=PORT, **over)


def raises(kind, call, *args, **named):
    try:
        result = call(*args, **named)
    except kind as error:
        return str(error)
    raise AssertionError("%s: expected %s, got %r" % (call, kind.__name__, result))


def put(c, path, **params):
    """It still asks with GET for what has been PUT since Consul 1.0, and is told 405 here as there."""
    return c.http.put(consul.base.CB.bool(), "/v1/agent/" + path, params=params)


def test_kv():
    c = client()
    index, none = c.kv.get("foo")
    assert none is None and int(index) >= 1
    assert c.kv.put("foo", "bar") is True
    index, entry = c.kv.get("foo")
    assert entry["Value"] == b"bar" and str(entry["ModifyIndex"]) == index
    assert c.kv.put("foo", b"\x00\xff", flags=2 ** 64 - 1) is True
    assert c.kv.get("foo")[1]["Flags"] == 2 ** 64 - 1
    assert c.kv.get("foo")[1]["Value"] == b"\x00\xff"
    assert c.kv.put("foo", "", cas=1) is False
    assert c.kv.put("foo", None, cas=c.kv.get("foo")[1]["ModifyIndex"]) is True
    assert c.kv.get("foo")[1]["Value"] is None
    for key in ("base/base", "base/mid/one", "base/mid/two"):
        c.kv.put(key, key)
    assert [e["Key"] for e in c.kv.get("base/", recurse=True)[1]] == [
        "base/base", "base/mid/one", "base/mid/two"]
    assert c.kv.get("base/", keys=True, separator="/")[1] == ["base/base", "base/mid/"]
    assert c.kv.get("nothing/", keys=True)[1] is None
    assert "Conflicting flags" in raises(consul.base.BadRequest, c.kv.put, "foo", "x",
                                         cas=1, acquire="y")
    assert c.kv.delete("base/base", cas=1) is False
    assert c.kv.delete("base", recurse=True) is True
    assert c.kv.get("base", recurse=True)[1] is None


def test_blocking():
    c = client()
    c.kv.put("wait", "1")
    index, _ = c.kv.get("wait")
    woken = []

    def wait():
        woken.append(client().kv.get("wait", index=index, wait="20s"))

    thread = threading.Thread(target=wait)
    thread.start()
    c.kv.put("unrelated", "1")
    time.sleep(0.2)
    assert not woken, "an unrelated key wakes nobody"
    c.kv.put("wait", "2")
    thread.join(10)
    assert woken[0][1]["Value"] == b"2" and int(woken[0][0]) > int(index)


def test_agent():
    c = client()
    assert c.agent.self()["Config"]["NodeName"] == "n1"
    assert c.agent.members()[0]["Name"] == "n1"
    assert c.agent.service.register("foo", service_id="foo:1", port=80, tags=["a"],
                                    address="10.0.0.1", check=consul.Check.ttl("10m"))
    assert c.agent.services()["foo:1"]["Port"] == 80
    assert c.health.service("foo", passing=True)[1] == []
    assert c.agent.check.ttl_pass("service:foo:1", "fine") is False
    assert put(c, "check/pass/service:foo:1", note="fine")
    nodes = c.health.service("foo", passing=True, tag="a")[1]
    assert [n["Service"]["ID"] for n in nodes] == ["foo:1"]
    assert put(c, "check/warn/service:foo:1")
    assert c.health.checks("foo")[1][0]["Status"] == "warning"
    assert put(c, "check/fail/service:foo:1", note="bad")
    assert c.health.state("critical")[1][0]["Output"] == "bad"
    assert c.agent.check.register("own", consul.Check.ttl("1m"), check_id="own") is True
    assert c.agent.check.register("tcp", consul.Check.tcp("127.0.0.1", PORT, "10s")) is True
    assert c.agent.check.register(
        "http", consul.Check.http("http://127.0.0.1:%d/" % PORT, "10s", timeout="1s",
                                  deregister="90m"), service_id="foo:1") is True
    assert set(c.agent.checks()) == {"service:foo:1", "own", "tcp", "http"}
    # It still offers checks of before 1.0: refused, as by Consul.
    assert "script" in raises(consul.base.BadRequest, c.agent.check.register, "s",
                              consul.Check.script("true", "10s"))
    for check in ("own", "tcp"):
        assert put(c, "check/deregister/" + check)
    assert c.agent.service.maintenance("foo:1", "true", reason="why") is True
    assert c.agent.checks()["_service_maintenance:foo:1"]["Notes"] == "why"
    assert c.agent.service.maintenance("foo:1", "false") is True
    assert c.agent.maintenance("true") and "_node_maintenance" in c.agent.checks()
    assert c.agent.maintenance("false") is True
    assert put(c, "service/deregister/foo:1")
    assert c.agent.services() == {}


def test_catalog():
    c = client()
    assert c.catalog.datacenters() == ["dc1"]
    assert c.catalog.register("ext", "10.9.9.9", service={"service": "db", "port": 1}) is True
    index, nodes = c.catalog.nodes()
    assert {n["Node"] for n in nodes} == {"n1", "ext"}
    assert set(c.catalog.services()[1]) == {"consul", "db"}
    assert c.catalog.node("ext")[1]["Services"]["db"]["Port"] == 1
    assert c.catalog.service("db")[1][0]["ServicePort"] == 1
    assert c.catalog.nodes(index=int(index), wait="10ms")[1]
    assert c.catalog.nodes(consistency="stale")[1] and c.catalog.nodes(consistency="consistent")[1]
    assert c.health.node("ext")[1] == []
    assert c.catalog.deregister("ext", service_id="db") is True
    assert c.catalog.deregister("ext") is True
    assert c.catalog.node("ext")[1] is None
    raises(consul.ConsulException, c.catalog.nodes, dc="elsewhere")


def test_session():
    c = client()
    session = c.session.create(name="s", ttl=20, lock_delay=0, behavior="delete")
    index, info = c.session.info(session)
    assert info["ID"] == session and info["TTL"] == "20s" and info["LockDelay"] == 0
    assert [s["ID"] for s in c.session.list()[1]] == [session]
    assert [s["ID"] for s in c.session.node("n1")[1]] == [session]
    assert c.session.renew(session)["ID"] == session
    other = c.session.create()
    assert c.kv.put("lock", "mine", acquire=session) is True
    assert c.kv.put("lock", "yours", acquire=other) is False
    assert c.kv.get("lock")[1]["Session"] == session
    assert c.kv.put("lock", "", release=session) is True
    assert c.kv.put("lock", "yours", acquire=other) is True
    assert c.session.destroy(other) is True
    assert "Session" not in c.kv.get("lock")[1]
    assert c.kv.put("lock", "mine", acquire=session) is False, "lock delay of 15 s"
    assert c.session.destroy(session) is True
    assert c.session.info(session)[1] is None
    raises(consul.NotFound, c.session.renew, session)


def test_event():
    c = client()
    fired = c.event.fire("deploy", "1609030")
    assert fired["Name"] == "deploy" and fired["Version"] == 1
    index, events = c.event.list("deploy")
    assert [e["ID"] for e in events] == [fired["ID"]] and events[0]["Payload"] == b"1609030"
    assert c.event.list("none")[1] == []


def test_status_and_coordinates():
    c = client()
    assert c.status.leader().startswith("127.0.0.1:")
    assert c.status.peers() == [c.status.leader()]
    assert c.coordinate.datacenters()[0]["Datacenter"] == "dc1"
    assert isinstance(c.coordinate.nodes()[1], list)


def test_acl():
    """Against a server that denies by default, with a token that may all."""
    anonymous, manager = client(), client(token=TOKEN)
    assert "Permission denied" in raises(consul.ACLPermissionDenied, anonymous.kv.put, "a", "b")
    assert manager.kv.put("a", "b") is True
    assert "Permission denied" in raises(consul.ACLPermissionDenied, anonymous.kv.get, "a")
    assert manager.kv.get("a")[1]["Value"] == b"b"
    assert anonymous.catalog.nodes()[1] == [] and manager.catalog.nodes()[1] != []
    assert "ACL not found" in raises(
        consul.ACLPermissionDenied, client(token="00000000-1111-4000-8000-000000000000").kv.get, "a")
    raises(consul.ACLPermissionDenied, anonymous.session.create)  # it never sends a token here


names = ["test_acl"] if TOKEN else sorted(n for n in globals() if n.startswith("test_"))
for name in names:
    if name == "test_acl" and not TOKEN:
        continue
    globals()[name]()
    print("ok", name)
