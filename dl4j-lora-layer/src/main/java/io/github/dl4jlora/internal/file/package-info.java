/**
 * Files of this library. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   LoRA.save, load     LoRA.writeBase, openBase     adapter
 *          |                       |                    |
 *          v                       v                    v
 *     NetworkFile --+--------- MappedBase -------&gt; AtomicFile
 *                   |              |
 *                   +--------------+---&gt; internal.base (frozen weights by id; MappedFile)
 *                   +--------------+---&gt; internal.untrusted (reads what they wrote, or somebody else)
 *                                  +---&gt; internal.stock (shapes that a layer asks for)
 * </pre>
 *
 * <p>{@code AtomicFile} makes a file or a folder appear whole or not at all, by means of {@code internal.common}'s
 * {@code Temporary}. Files of a folder are replaced together:
 *
 * <pre>
 *   AtomicFile.writeFolder
 *          |
 *          v
 *     FolderSave ----&gt; FolderSteps, internal.processor (two folders change places)
 *      |  |  |  |
 *      |  |  |  `----&gt; NewFolders   folders that were missing, and go again if the save fails
 *      |  |  `-------&gt; FolderLock   one save after the other, and which leavings are of a killed one
 *      |  `----------&gt; OtherFiles   what else is in the folder comes along
 *      `-------------&gt; InPlaceSave  file by file, where folders cannot be exchanged
 *                            |
 *                            `----&gt; Moves   waits for those who keep Windows from moving a file
 *
 *     Uninterrupted   around all that forces or locks a file: a cancelled thread may save, too
 * </pre>
 *
 * <p>{@code NetworkFile} is the format of a whole network: DL4J's own zip with the frozen weights beside it. With
 * {@code MappedBase}, a frozen network uses the values in its file where they lie.
 */
@NullMarked
package io.github.dl4jlora.internal.file;

import org.jspecify.annotations.NullMarked;
