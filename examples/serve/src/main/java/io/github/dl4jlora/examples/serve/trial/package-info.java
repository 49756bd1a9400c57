/**
 * Programs that try a running service from outside, over HTTP: whether it keeps working, and what many adapters cost. Nothing
 * that a service needs is here; tests share what makes requests and uploads.
 */
package io.github.dl4jlora.examples.serve.trial;
