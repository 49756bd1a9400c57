/*
 *   LoRASummary          what trains and what does not, by layer
 *   LoRAPlan             what LoRA.apply would make of a network, and what training it would take
 *   LoRAMergeReport      what a merge would do to each weight matrix
 */

/**
 * What users are told about a network: tables that can be printed, and read value by value.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.report;

import org.jspecify.annotations.NullMarked;
