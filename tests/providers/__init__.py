"""The drivers, without a database. A test goes where its module is: `providers/x.py` -> `test_x.py`.

`contract.py` has the cases of every HTTP driver, `store_contract.py` those of every object store, and
`compatible_contract.py` what the OpenAI-compatible family adds. `wire.py`, `transport.py`, `uploads.py` and
`stores.py` are what they stand on; `data/` has recorded bodies.
"""
