// SPDX-FileCopyrightText: The Runrecord authors
// SPDX-License-Identifier: Apache-2.0

// Appends entries to a log of Tessera and publishes checkpoints that the witnesses of a policy have cosigned.
//
// Usage: foreignlog DIRECTORY PRIVATE-KEY POLICY-FILE COUNT. Prints the last checkpoint.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	ctx := context.Background()
	signer, err := note.NewSigner(os.Args[2])
	check(err)
	policy, err := os.ReadFile(os.Args[3])
	check(err)
	witnesses, err := tessera.NewWitnessGroupFromPolicy(policy)
	check(err)
	count, err := strconv.Atoi(os.Args[4])
	check(err)
	driver, err := posix.New(ctx, posix.Config{Path: os.Args[1]})
	check(err)
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(200*time.Millisecond).
		WithBatching(16, 20*time.Millisecond).
		WithWitnesses(witnesses, &tessera.WitnessOptions{FailOpen: false})
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	check(err)
	awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
	var last tessera.IndexFuture
	for i := range count {
		last = appender.Add(ctx, tessera.NewEntry([]byte(fmt.Sprintf("entry %d of %s", i, time.Now()))))
	}
	_, checkpoint, err := awaiter.Await(ctx, last)
	check(err)
	os.Stdout.Write(checkpoint)
	check(shutdown(ctx))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
