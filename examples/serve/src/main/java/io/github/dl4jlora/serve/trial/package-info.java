/**
 * Programs that try a running service from outside, over HTTP: whether it keeps working, and what many adapters cost. A service
 * needs nothing of this; tests share the classes for requests and uploads.
 */
package io.github.dl4jlora.serve.trial;
