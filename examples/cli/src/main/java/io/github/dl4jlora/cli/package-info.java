/**
 * {@code dl4j-lora}: LoRA on saved networks for people who want no code. One class a command; all of them read files with
 * {@link io.github.dl4jlora.cli.SavedNetwork}, write them with {@link io.github.dl4jlora.cli.Output} and
 * tell what they did with {@link io.github.dl4jlora.cli.Facts}.
 */
package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
