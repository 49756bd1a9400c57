/** One base and many adapters behind an HTTP server. */
package io.github.dl4jlora.examples.serve;
