package authz_test

import data.authz

test_admins_may if authz.allow with input as {"role": "admin"}

test_others_may_not if not authz.allow with input as {"role": "guest"}
