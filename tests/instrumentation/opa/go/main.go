// SPDX-FileCopyrightText: The Runrecord authors
// SPDX-License-Identifier: Apache-2.0

// An Open Policy Agent server for the tests: its REST API, an in-memory store, a bundle revision and ids of decisions.
// It prints its address and serves until it is stopped.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

func main() {
	ctx := context.Background()
	store := inmem.New()
	manager, err := plugins.New([]byte(`{}`), "opa", store)
	check(err)
	check(manager.Start(ctx))
	roots := []string{"bundled"} // the tests bring their policy themselves
	check(storage.Txn(ctx, store, storage.WriteParams, func(txn storage.Transaction) error {
		return bundle.WriteManifestToStore(ctx, store, txn, "refunds", bundle.Manifest{Revision: "14", Roots: &roots})
	}))
	opa, err := server.New().WithStore(store).WithManager(manager).WithDecisionIDFactory(newID).Init(ctx)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("http://%s\n", listener.Addr())
	check(http.Serve(listener, opa.Handler))
}

func newID() string {
	id := make([]byte, 16)
	_, err := rand.Read(id)
	check(err)
	return hex.EncodeToString(id)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
