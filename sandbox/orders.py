"""Which faults were ordered, and which of them strikes a request."""

from dataclasses import dataclass, replace

from sandbox.faults import Fault, Honest
from sandbox.message import Response


@dataclass(slots=True)
class Order:
    """A fault that was ordered, and how often it has struck."""

    id: int
    fault: Fault
    struck: int = 0

    def matches(self, host: str, method: str, names: set[str]) -> bool:
        """Whether this order is for such a request and not used up."""
        fault = self.fault
        return (
            (fault.times is None or self.struck < fault.times)
            and (fault.host is None or fault.host == host)
            and (fault.method is None or fault.method == method)
            and (fault.methods is None or method in fault.methods)
            and (fault.account is None or fault.account.lower() in names)
        )


class FaultBook:
    """The orders, in the order they came."""

    def __init__(self) -> None:
        self._orders: list[Order] = []
        self._next_id = 1

    def __bool__(self) -> bool:
        return bool(self._orders)

    def order(self, fault: Fault) -> int:
        """Add a fault; gives the id to cancel it by."""
        order = Order(self._next_id, fault)
        self._next_id += 1
        self._orders.append(order)
        return order.id

    def cancel(self, order_id: int) -> None:
        """Take one order back, if it is there."""
        self._orders = [order for order in self._orders if order.id != order_id]

    def clear(self) -> None:
        """Take every order back."""
        self._orders.clear()

    def orders(self) -> list[Order]:
        """Every order, used up or not."""
        return list(self._orders)

    def take(self, host: str, method: str, names: set[str]) -> Fault | None:
        """The fault that strikes a request about the account known by `names` (lower case), if any."""
        for order in self._orders:
            if order.matches(host, method, names):
                order.struck += 1
                return order.fault
        return None


def strike(fault: Fault, honest: Honest) -> Response:
    """The answer a fault makes of a request, late by its `after`; `honest()` would give the usual one."""
    response = fault.answer(honest)
    if fault.after:
        response.delivery = replace(response.delivery, delay=response.delivery.delay + fault.after)
    return response
