# Who may place which order. There is no default: for an order without an amount, or by a role that is not known, allow is
# undefined, and callers take that as a denial.
package orders

limits := {"clerk": 100, "manager": 10000}

allow := input.amount <= limits[input.role]
