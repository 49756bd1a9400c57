/** Training on Spark, on threads or on a cluster of JVMs on this machine, and what that sends. */
package io.github.dl4jlora.examples.spark;
