package orders_test

import data.orders

test_a_clerk_orders_up_to_the_limit if {
	orders.allow with input as {"role": "clerk", "amount": 100}
	orders.allow == false with input as {"role": "clerk", "amount": 101}
}

test_what_is_unknown_is_undefined if {
	not orders.allow with input as {"role": "guest", "amount": 1}
	not orders.allow with input as {"role": "clerk"}
}
