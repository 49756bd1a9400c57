/**
 * Adapters as things of their own, apart from any network, and their files: PEFT's safetensors and configuration.
 */
package io.github.dl4jlora.adapter;
