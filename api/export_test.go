package api

var ReachableAddr = reachableAddr
