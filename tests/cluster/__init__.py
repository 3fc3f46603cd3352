"""What a larger installation has, on one machine and without Docker.

Two web servers behind the shipped nginx, two workers, PostgreSQL, Redis or RabbitMQ, and stand-ins of an API
provider, S3 and GCS. The nodes share no disk. `make cluster` starts it to be used by hand; in `make
cluster-test` clients work while parts are killed, frozen and rolled. `test_cluster.py` does a short one.

    parts.py   what runs
    trial.py   clients, what happens to the cluster, and the counts
"""
