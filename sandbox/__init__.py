"""A local Bluesky network: a PLC directory, one or more PDSes, a DNS server and a control API on loopback.

For the demo, the tests and the benchmarks; product code never imports it. Its answers follow a real PDS
(`tests/conformance` runs one suite against both), and every way an upstream can fail can be ordered (`faults`).
"""
