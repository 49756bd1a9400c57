/** Training on Spark, on threads or on a cluster of JVMs on this machine, and the amount of data that is sent. */
package io.github.dl4jlora.examples.spark;
