"""Keeps a worker alive through an outage of Redis."""

from kombu.transport import redis, virtual


class ForgivingQoS(redis.QoS):
    """Frees a message's place among the prefetched ones also when Redis cannot be told that it is done.

    kombu 5.7 keeps it, and a worker with no free place never reads from its connection again, so that it
    does not even notice that the connection is gone (celery issues 8030, 10205 and 10302). What was not
    acknowledged comes again after the visibility timeout, and every task is safe to run twice.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


redis.Channel.QoS = ForgivingQoS
