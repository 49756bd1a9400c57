/**
 * One base and many adapters behind an HTTP server: {@code dl4j-lora serve}.
 *
 * <pre>
 *   ServeCommand -> Service        the server, its routes, and how it ends
 *     |- OutputsRoute              Features, read and written by JsonForm or SafetensorsForm, checked by NetworkForm
 *     |- EmbeddingsRoute           EmbeddingsRequest -> BankEncoder &lt;- LoRAEmbeddingModel, for langchain4j
 *     |- AdaptersRoute             Access -> AdapterUpload -> AdapterStore, the folder
 *     |- PageRoute, StatisticsRoute, Health
 *     v
 *   Inference -> AdapterBank       what went wrong becomes a Problem; MicrometerBankMetrics
 * </pre>
 */
package io.github.dl4jlora.examples.serve;
