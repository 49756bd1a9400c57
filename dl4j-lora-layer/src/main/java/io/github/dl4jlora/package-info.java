/**
 * LoRA for Deeplearning4j: what a user touches. Begin with {@link io.github.dl4jlora.LoRA#apply}, or declare a
 * {@link io.github.dl4jlora.layer.LoRADenseLayer} in a configuration.
 */
package io.github.dl4jlora;
