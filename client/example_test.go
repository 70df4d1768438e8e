package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"defenseclaw/client"
)

// Whether a user may, and no in every case of doubt.
func ExampleClient_Allowed() {
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"ada", "bob"} {
		allowed, err := c.Allowed(context.Background(), "app/allow", map[string]any{"user": name})
		if err != nil {
			log.Print(err) // and allowed is false
		}
		fmt.Println(name, allowed)
	}
	// Output:
	// ada true
	// bob false
}

// A document of any type, which may be undefined.
func ExampleClient_Decide() {
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"ada", "bob"} {
		var roles []string
		err := c.Decide(context.Background(), "app/roles", map[string]any{"user": name}, &roles)
		if errors.Is(err, client.ErrUndefined) {
			fmt.Println(name, "has none")
			continue
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, roles)
	}
	// Output:
	// ada [admin dev]
	// bob has none
}

// Many inputs in one request, decided by one generation of the policy.
func ExampleDecideEach() {
	c, err := client.New(client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	answers, err := client.DecideEach[bool](context.Background(), c, "app/allow", map[string]any{
		"first": map[string]any{"user": "ada"}, "second": map[string]any{"user": "bob"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answers["first"].Value, answers["second"].Value)
	// Output: true false
}
