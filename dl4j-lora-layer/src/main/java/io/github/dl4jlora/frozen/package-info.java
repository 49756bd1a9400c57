/**
 * Frozen parameters outside a network's vector: content-addressed weights, the registry that finds them, and wrappers
 * that run any stock layer or vertex on them. What is trainable lives in {@code layer}.
 */
package io.github.dl4jlora.frozen;
