/**
 * One base and many adapters behind an HTTP server: {@code dl4j-lora serve}.
 *
 * <pre>
 *   ServeCommand -> ServedModel    what is served: a network, an encoder or a cross-encoder
 *     v
 *   Service                        the server, its routes, and how it ends
 *     |- Connections, Hosts        which connections stay, and the service's host names; Pace, Limits
 *     |- Reception -> Intake       a body arrives, as Blocks; memory of requests, and slow clients
 *     |- OutputsRoute              Features, read and written by JsonForm or SafetensorsForm, checked by NetworkForm
 *     |- EmbeddingsRoute           EmbeddingsRequest, TextIntake -> BankEncoder &lt;- LoRAEmbeddingModel, for langchain4j
 *     |- RerankRoute               RerankRequest, TextIntake -> Reranker: EncoderReranker, BankReranker -> PaddedBatches
 *     |- AdaptersRoute             Access -> AdapterUpload, UploadedForm -> AdapterStore, the folder
 *     |- PageRoute, StatisticsRoute, Health
 *     v
 *   Inference -> AdapterBank       what went wrong becomes a Problem; MicrometerBankMetrics
 *     v
 *   Answers                        answers leave at the client's pace
 * </pre>
 */
package io.github.dl4jlora.serve;
