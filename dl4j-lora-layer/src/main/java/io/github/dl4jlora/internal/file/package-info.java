/**
 * Files of whole networks.
 */
package io.github.dl4jlora.internal.file;
