package api

import (
	"context"
	"net/http"
)

// Ready asks whether decisions are answered. An *[AnswerError] says that they are not.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodGet, "/health/ready", nil)
	return err
}

// Live asks whether the sidecar answers at all, whatever it serves.
func (c *Client) Live(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodGet, "/health", nil)
	return err
}
